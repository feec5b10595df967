//! A cluster of machines, virtual ones or namespaces: each is set up by the commands of docs/cluster.md, as they are there, with the kubelet and
//! kubeadm of an image, and a control plane that is compiled for tests and runs as static pods.
//!
//! The way of one: a [`Guide`] has the commands, a [`Kit`] what machines are made of; a [`Cluster`] boots the first machine
//! and makes a cluster of it, and others join.

mod api;
mod group;
mod guide;
mod images;
mod kit;
mod machine;

pub use crate::group::{Cluster, LONG, Node, Step};
pub use crate::guide::{Guide, PAGE};
pub use crate::kit::{Kit, PodNetwork, Setup};
pub use crate::machine::{Machine, Nodes};
