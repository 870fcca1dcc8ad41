//! Every public service against a probing inner service: the tower contract.
