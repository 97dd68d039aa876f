//! What is known about PostgreSQL's own functions, relations and settings, beyond what its catalog says.
