//! Ingress: the fabio route table and the cloud load balancer.
