# A component: a compiled or extracted file, and the key that the plan gives it.
{ make, rust, inputs, crates, catalog, slice, go-modules }:
let
  component = { name, arch, product, release, source, tools, nativeBuildInputs ? [ ], prepare ? "" }:
    make {
      name = "component-${name}-${arch.name}";
      inherit source prepare nativeBuildInputs;
      verb = "component ${name} ${catalog.omitted}--product ${product.name} --release ${release.version} --arch ${arch.name} "
        + "--mirror ${inputs tools} --jobs \${NIX_BUILD_CORES:-1}";
    };
  any = builtins.head catalog.product;
  # Evaluated once. The second lock's crates are where the standard library is compiled too: it is the lock of the pinned
  # Rust's own sources.
  cargo-home = import ./cargo-home.nix (crates [ ../images/entrypoint/Cargo.lock ../images/locks/rust-std.lock ]);
in
# None of what goes into its layer as it is.
name: { product, release, arch }:
let found = catalog.componentOf name; in
if found ? go then
  [
    (component {
      inherit name arch product release;
      source = slice.go release;
      tools = [ "go" "zig" ];
      prepare = ''
        export GOPROXY=file://${go-modules release (catalog.closure release name)} GOSUMDB=off
        export GOMODCACHE=$TMPDIR/modules GOCACHE=''${GOCACHE:-$TMPDIR/go-build}
      '';
    })
  ]
else if found ? rust then
  [
    (component {
      inherit name arch;
      product = any;
      release = slice.none;
      source = slice.entrypoint;
      tools = [ "zig" "cargo-zigbuild" ];
      nativeBuildInputs = [ rust ];
      prepare = cargo-home;
    })
  ]
else if found ? certificates then
  [
    (component {
      inherit name;
      arch = builtins.head catalog.arch;
      product = any;
      release = slice.none;
      source = slice.plain;
      tools = [ "ca-certificates" ];
    })
  ]
else [ ]
