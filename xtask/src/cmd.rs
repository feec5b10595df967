//! The verbs, a file each.

mod add_release;
mod advisories;
mod attest;
mod bench;
mod build;
mod completions;
mod doctor;
mod e2e;
mod fetch;
mod fuzz;
mod gc;
mod list;
mod load;
mod lock;
mod make;
mod push;
mod release;
mod sbom;
mod size;
mod test;
mod upstream;
mod verify;
mod vm;

use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;

/// A verb.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Build(build::Build),
    Fetch(fetch::Fetch),
    List(list::List),
    Size(size::Size),
    Sbom(sbom::Sbom),
    Attest(attest::Attest),
    Verify(verify::Verify),
    Lock(lock::Lock),
    Make(make::Make),
    Fuzz(fuzz::Fuzz),
    Gc(gc::Gc),
    Doctor(doctor::Doctor),
    Upstream(upstream::Upstream),
    AddRelease(add_release::AddRelease),
    Advisories(advisories::Advisories),
    Push(push::Push),
    Release(release::Release),
    Load(load::Load),
    Bench(bench::Bench),
    Completions(completions::Completions),
    Test(test::Test),
    Vm(vm::Vm),
    E2e(e2e::E2e),
}

impl Command {
    /// Can it do something outside of a checkout? Layouts are what they are anywhere.
    pub(crate) fn runs_anywhere(&self) -> bool {
        matches!(self, Command::Push(_) | Command::Load(_))
    }

    pub(crate) fn run(&self, context: &Context) -> Result<ExitCode> {
        let done = match self {
            Command::Build(build) => build.run(context),
            Command::Fetch(fetch) => fetch.run(context),
            Command::List(list) => list.run(context),
            Command::Size(size) => size.run(context),
            Command::Sbom(sbom) => sbom.run(context),
            Command::Attest(attest) => attest.run(context),
            Command::Verify(verify) => verify.run(context),
            Command::Lock(lock) => lock.run(context),
            Command::Make(make) => make.run(context),
            Command::Fuzz(fuzz) => fuzz.run(context),
            Command::Gc(gc) => gc.run(context),
            Command::Doctor(doctor) => doctor.run(context),
            Command::Upstream(upstream) => upstream.run(context),
            Command::AddRelease(add) => add.run(context),
            Command::Advisories(advisories) => advisories.run(context),
            Command::Push(push) => push.run(context),
            Command::Release(release) => release.run(context),
            Command::Load(load) => load.run(context),
            Command::Bench(bench) => bench.run(context),
            Command::Completions(completions) => completions.run(),
            Command::Test(test) => test.run(context),
            Command::E2e(e2e) => e2e.run(context),
            // What ran in the machine says how it ends.
            Command::Vm(vm) => return vm.run(context),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}
