//! One file per source file, against a broker and a gateway that are played.

mod door;
mod keeper;
mod place;
mod relay;
mod settings;
mod stage;
