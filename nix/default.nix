# What the flake has for one system: wires the functions of this directory.
# `omit`: programs and components to leave out; images say so.
{ pkgs, rust-bin, omit ? [ ] }:
let
  plan = import ./plan.nix { inherit omit; };
  catalog = builtins.fromTOML (builtins.readFile ../images/catalog.toml);
  lock = builtins.fromJSON (builtins.readFile ../images/locks/toolchains.json);
  hashes = builtins.fromJSON (builtins.readFile ../images/locks/go-modules.json);

  # The architecture that builds run on, as Go and images call it.
  host = { x86_64-linux = "amd64"; aarch64-linux = "arm64"; }.${pkgs.stdenv.hostPlatform.system};

  rust = rust-bin.stable.${lock.rust.version}.minimal.override {
    extensions = [ "rust-src" "rustfmt" "clippy" ];
  };
  # What a checkout needs besides what the build fetches by itself.
  tools = [ rust pkgs.go (pkgs.python3.withPackages (packages: [ packages.pip ])) ];
  inputs = import ./inputs.nix { inherit pkgs lock host; };
  alpine = import ./alpine.nix { inherit pkgs catalog plan; };
  crates = import ./crates.nix { inherit pkgs; };
  xtask = import ./xtask.nix { inherit pkgs rust crates; };
  make = import ./make.nix { inherit pkgs xtask; };
  slice = import ./slice.nix { inherit pkgs catalog plan alpine lock; };
  go-modules = import ./go-modules.nix { inherit make inputs slice hashes omit; };
  component = import ./component.nix { inherit make rust inputs crates plan slice go-modules; };
  layer = import ./layer.nix { inherit make plan slice component alpine; };
  publish = import ./publish.nix { inherit pkgs xtask; };
  image = import ./image.nix { inherit make plan slice layer publish; };

  set = attributes: builtins.listToAttrs
    (map (attribute: { inherit (attribute) name; value = image attribute; }) attributes);
  images = set plan.attributes;
  aliases = builtins.listToAttrs (builtins.concatMap
    (attribute: map (name: { inherit name; value = images.${attribute.name}; }) attribute.aliases)
    plan.attributes);
  isLocked = attribute: alpine.isLocked attribute
    && builtins.all (closure: hashes ? ${closure}) (plan.closuresOf attribute);
  without = program: (import ./. { inherit pkgs rust-bin; omit = [ program ]; }).images;
in
{
  inherit images;
  # All attributes, by their other names too: those for which something is not locked yet are errors that say so, and no
  # packages.
  legacyPackages = aliases // images // {
    # Go modules by closure, to learn the hash of new ones: `go-modules."v1.26.0/kube"`.
    go-modules = builtins.listToAttrs (builtins.concatMap
      (release: map (closure: { name = closure; value = go-modules release closure; }) (plan.closuresIn release))
      (builtins.attrNames plan.releases));
    # The same images without a program: `without.crictl.kubelet-v1_26_0-kubeadm-amd64`.
    without = builtins.listToAttrs
      (map (program: { inherit (program) name; value = without program.name; }) catalog.program);
  };
  packages = set (builtins.filter isLocked plan.attributes) // { inherit xtask; };
  checks = import ./checks.nix { inherit pkgs host plan rust crates xtask images; };
  apps = import ./apps.nix { inherit pkgs xtask tools; };
  devShell = import ./dev-shell.nix { inherit pkgs tools; };
}
