//! What a person sees: pages and fragments.
