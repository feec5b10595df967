# images/catalog.toml, and every attribute that it spans: the same names as `cargo xtask list` has.
{ omit }:
let
  catalog = builtins.fromTOML (builtins.readFile ../images/catalog.toml);
  find = name: list: builtins.head (builtins.filter (item: item.name == name) list);
  join = parts: builtins.concatStringsSep "-" (builtins.filter (part: part != "") parts);

  product = name: find name catalog.product;
  component = name: find name catalog.component;
  variantSuffix = variant: variant.suffix or variant.name;
  isOn = variant: base: !(variant ? bases) || builtins.elem base.name variant.bases;
  kept = builtins.filter (name: !(builtins.elem name omit));
  isFor = product: name: let found = component name; in !(found ? product) || found.product == product;

  # Where in images/go the modules of these programs are, for a release.
  closure = release: programs:
    let
      closures = map (name: (find name catalog.program).closure) programs;
      has = name: builtins.elem name closures;
    in
    if has "cni-plugins" then "cni-plugins-${release.cni-plugins}"
    else if has "kubeadm" then "${release.version}/kubeadm"
    else "${release.version}/kube";

  # An image, or with `arch = null` the index over those of all architectures.
  attribute = variant: release: base: arch: {
    inherit release variant base arch;
    product = product variant.product;
    name = join [
      variant.product
      (builtins.replaceStrings [ "." ] [ "_" ] release.version)
      (variantSuffix variant)
      (if base.default or false then "" else base.name)
      (if arch == null then "" else arch.name)
    ];
  };
in
catalog // {
  componentOf = component;

  attributes = builtins.concatMap
    (variant: builtins.concatMap
      (release: builtins.concatMap
        (base: map (attribute variant release base) (catalog.arch ++ [ null ]))
        (builtins.filter (isOn variant) catalog.base))
      catalog.release)
    catalog.variant;

  # What is left out, and what is not.
  omitted = builtins.concatStringsSep "" (map (name: "--omit ${name} ") omit);
  inherit kept;

  # The components of a base for a product, and the layers of an image, lowest first.
  baseComponents = base: product: kept (builtins.filter (isFor product.name) base.components);
  layers = attribute: [ attribute.base.name ] ++ kept attribute.variant.components;

  inherit closure;
  # The closures of an image's programs.
  closures = { variant, release, ... }:
    let programs = name: kept ((component name).go or { programs = [ ]; }).programs; in
    map (name: closure release (programs name)) (builtins.filter (name: programs name != [ ]) (kept variant.components));
}
