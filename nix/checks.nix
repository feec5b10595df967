# What `nix flake check` builds.
{ pkgs, host, plan, rust, crates, xtask, images }:
let
  toml = import ./toml.nix;
  # The repository without its history, and what was built in it.
  source = builtins.path {
    name = "repository";
    path = ../.;
    filter = path: _: !(builtins.elem (builtins.baseNameOf path) [ ".git" "target" ]);
  };
  check = name: nativeBuildInputs: script: pkgs.runCommandCC "check-${name}" { inherit nativeBuildInputs; } ''
    export HOME=$TMPDIR/home
    mkdir $HOME
    cp -r ${source} repository
    chmod -R u+w repository
    cd repository
    ${script}
    touch $out
  '';
  entrypoint = "--manifest-path images/entrypoint/Cargo.toml";
  # With the crates of the workspace and the entrypoint.
  cargo = name: script: check name [ rust ] ''
    ${import ./cargo-home.nix (crates [ ../Cargo.lock ../images/entrypoint/Cargo.lock ])}
    # As in xtask.nix.
    export CARGO_TARGET_DIR=''${CARGO_TARGET_DIR:-$TMPDIR/target}
    ${script}
  '';
  newest = builtins.head (builtins.filter (attribute: attribute.name == plan.default.${host}) plan.attributes);
  text = "quotes \" and \\, lines\n, tabs\t, \${variables} and ümlauts";
in
{
  inherit xtask;

  # It is whole, and its kubelet starts: what the linker was let drop, nobody calls.
  image = check "image" [ ] ''
    for blob in ${images.${newest.name}}/blobs/sha256/*; do
      echo "$(basename $blob)  $blob" | sha256sum --check --quiet
      if gzip --test $blob 2> $TMPDIR/said; then tar xzf $blob -C $HOME --no-same-owner usr/bin 2> $TMPDIR/said || true; fi
    done
    test "$($HOME/usr/bin/kubelet --version)" = "Kubernetes ${newest.release}"
  '';

  # The plan is the catalog's, and its attributes have the names that xtask gives them.
  attributes = check "attributes" [ xtask ] ''
    xtask lock plan --check
    xtask list | cut -d ' ' -f 1 | sort > listed
    printf '%s\n' ${toString (map (attribute: attribute.name) plan.attributes)} | sort | diff listed -
  '';

  # What a slice of the catalog says is what was meant, whatever letters it has.
  toml =
    let same = value: builtins.fromTOML (toml value) == value; in
    assert same { inherit text; ${text} = [{ a = 1; b = [ true "c" ]; }]; } && same (builtins.fromTOML (builtins.readFile ../images/catalog.toml));
    check "toml" [ ] "";

  # The crates that the standard library is compiled with are those of the pinned Rust.
  rust-std-lock = check "rust-std-lock" [ ] ''
    diff images/locks/rust-std.lock ${rust}/lib/rustlib/src/rust/library/Cargo.lock
  '';

  format = check "format" [ rust ] ''
    cargo fmt --all --check
    cargo fmt ${entrypoint} --check
    cargo fmt --manifest-path xtask/fuzz/Cargo.toml --check
  '';

  nix-format = check "nix-format" [ pkgs.nixpkgs-fmt pkgs.deadnix ] ''
    files=$(find flake.nix nix tests -name '*.nix')
    nixpkgs-fmt --check $files
    deadnix --fail $files
  '';

  lints = cargo "lints" ''
    cargo clippy --workspace --all-targets --locked --offline -- -D warnings
    cargo clippy ${entrypoint} --all-targets --locked --offline -- -D warnings
  '';

  # Unit tests: others want other people's tools, and setuid files, which Nix lets no build make.
  tests = cargo "tests" ''
    cargo test --workspace --exclude tests --lib --bins --locked --offline
    cargo test ${entrypoint} --locked --offline
  '';
}
