# xtask itself. Nothing but its own sources changes it.
{ pkgs, rust, crates }:
let
  source = builtins.path {
    name = "xtask-source";
    path = ../.;
    filter = path: _:
      let within = builtins.substring (builtins.stringLength (toString ../.) + 1) (-1) path; in
      builtins.any (top: within == top || builtins.substring 0 (builtins.stringLength top + 1) within == "${top}/")
        [ "Cargo.toml" "Cargo.lock" "xtask/Cargo.toml" "xtask/src" "xtask/crates" "tests/Cargo.toml" ]
      || within == "xtask" || within == "tests";
  };
in
pkgs.runCommandCC "xtask" { nativeBuildInputs = [ rust ]; } ''
  ${import ./cargo-home.nix (crates [ ../Cargo.lock ])}
  # A cache that outlives the build is for who runs builds outside a sandbox.
  export CARGO_TARGET_DIR=''${CARGO_TARGET_DIR:-$TMPDIR/target}
  cp -r --no-preserve=mode,ownership ${source} source
  cd source
  # A member of the workspace that xtask does not need: tests change without another xtask.
  mkdir tests/src
  touch tests/src/lib.rs
  cargo build --locked --offline --package xtask
  mkdir -p $out/bin
  cp $CARGO_TARGET_DIR/debug/xtask $out/bin/
''
