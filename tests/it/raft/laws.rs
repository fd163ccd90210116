//! Laws under random faults.
