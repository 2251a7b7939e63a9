//! Accounts: users, passwords, sessions.
