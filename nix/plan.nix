# What is built, of which parts, and where Go modules are: images/plan.json, which `cargo xtask lock plan` makes of the
# catalog (xtask/crates/plan/src/nix.rs says what is in it), without what is left out.
{ omit }:
let
  plan = builtins.fromJSON (builtins.readFile ../images/plan.json);
  kept = builtins.filter (name: !(builtins.elem name omit));
  unique = names: builtins.attrNames (builtins.listToAttrs (map (name: { inherit name; value = null; }) names));

  # Where in images/go the modules of a component's programs are; null where none is kept.
  closure = { programs, closures }:
    if kept programs == [ ] then null
    else (builtins.head (builtins.filter ({ needs, ... }: kept needs == needs) closures)).closure;
  # By release and component, each evaluated once.
  closures = builtins.mapAttrs (_: builtins.mapAttrs (_: closure)) plan.releases;

  # Images of some architecture, or with `arch = null` the index over all.
  attribute = { names, layers, ... }@images: arch:
    let all = map (name: if arch == null then name else "${name}-${arch}") names; in
    images // {
      inherit arch;
      name = builtins.head all;
      aliases = builtins.tail all;
      layers = kept layers;
    };
in
assert plan.version == 2 || throw "images/plan.json has format version ${toString plan.version}, nix/plan.nix reads 2";
# What is built goes by both files.
assert plan.catalog == builtins.hashFile "sha256" ../images/catalog.toml || throw "images/plan.json is not what images/catalog.toml gives: `cargo xtask lock plan` makes it";
plan // {
  attributes = builtins.concatMap (images: map (attribute images) (plan.arches ++ [ null ])) plan.images;
  # As flags of xtask.
  omitted = builtins.concatStringsSep "" (map (name: "--omit ${name} ") omit);
  # The made components of a layer, which is a base's or of one component.
  parts = product: layer: kept (plan.bases.${layer}.${product} or (builtins.filter (name: plan.components ? ${name}) [ layer ]));

  closure = release: component: closures.${release}.${component};
  # Those of an image's programs.
  closuresOf = { release, layers, ... }: builtins.filter builtins.isString (map (layer: closures.${release}.${layer} or null) layers);
  # All that a release may take, and those of CNI plugins that it takes.
  closuresIn = release: unique (builtins.concatMap
    ({ closures, ... }: map (choice: choice.closure) closures)
    (builtins.attrValues plan.releases.${release}));
  pluginsIn = release: builtins.filter (closure: plan.plugins ? ${closure})
    (unique (builtins.filter builtins.isString (builtins.attrValues closures.${release})));
}
