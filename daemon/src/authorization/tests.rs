//! The hours in which a person may authorize.
