//! Load: arrivals, service times, stations, clients.
