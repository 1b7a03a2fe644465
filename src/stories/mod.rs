//! What people do with an archive, one screen a step: make it, deploy to it, publish it, look after it.
//!
//! A story calls places and formats in order and says what happened as values; it prints nothing, reads no environment and
//! no clock.

pub mod archive;
pub mod deploy;
pub mod doctor;
pub mod event;
pub mod export;
pub mod fold;
pub mod fsck;
pub mod gc;
pub mod inbox;
pub mod init;
pub mod key;
pub mod landing;
pub mod lfs;
pub mod monitor;
pub mod promote;
pub mod provenance;
pub mod publish;
pub mod rebuild;
pub mod serve;
pub mod served;
pub mod upload;
pub mod upstream;
