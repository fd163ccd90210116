//! HashiCorp Raft.
