//! Shared state, middleware order and every route: the only route table.
