# A component: a compiled or extracted file, and the key that the plan gives it.
{ make, rust, inputs, crates, plan, slice, go-modules }:
let
  component = name: { product, release, arch, source, tools, nativeBuildInputs ? [ ], prepare ? "" }:
    make {
      name = "component-${name}-${arch}";
      inherit source prepare nativeBuildInputs;
      verb = "component ${name} ${plan.omitted}--product ${product} --release ${release} --arch ${arch} "
        + "--mirror ${inputs tools} --jobs \${NIX_BUILD_CORES:-1}";
    };
  # What is the same for all products and releases is built for one product, and none of the releases.
  common = { inherit (builtins.head plan.images) product; release = slice.none.version; };
  # Evaluated once. The second lock's crates are where the standard library is compiled too: it is the lock of the pinned
  # Rust's own sources.
  cargo-home = import ./cargo-home.nix (crates [ ../images/entrypoint/Cargo.lock ../images/locks/rust-std.lock ]);
  kinds = name: { product, release, arch, ... }: {
    go = {
      inherit product release arch;
      source = slice.go.${release};
      tools = [ "go" "zig" ];
      prepare = ''
        export GOPROXY=file://${go-modules release (plan.closure release name)} GOSUMDB=off
        export GOMODCACHE=$TMPDIR/modules GOCACHE=''${GOCACHE:-$TMPDIR/go-build}
      '';
    };
    rust = common // {
      inherit arch;
      source = slice.entrypoint;
      tools = [ "zig" "cargo-zigbuild" ];
      nativeBuildInputs = [ rust ];
      prepare = cargo-home;
    };
    certificates = common // {
      arch = builtins.head plan.arches;
      source = slice.plain;
      tools = [ "ca-certificates" ];
    };
  };
in
attribute: name: component name (kinds name attribute).${plan.components.${name}}
