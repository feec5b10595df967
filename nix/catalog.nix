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

  underscored = builtins.replaceStrings [ "." ] [ "_" ];
  # The base of a variant's attributes that name none: the default one, else the first that the variant comes on.
  defaultBase = variant:
    let
      on = builtins.filter (isOn variant) catalog.base;
      default = builtins.filter (base: base.default or false) on;
    in
    (builtins.head (default ++ on)).name;

  # An image, or with `arch = null` the index over those of all architectures.
  attribute = variant: release: base: arch:
    let
      nameOn = base: join [
        variant.product
        (underscored release.version)
        (variantSuffix variant)
        base
        (if arch == null then "" else arch.name)
      ];
      name = nameOn (if base.name == defaultBase variant then "" else underscored base.name);
    in
    {
      inherit name release variant base arch;
      product = product variant.product;
      # What else it may be asked for by: with its base, as attributes and as tags spell it.
      aliases = builtins.filter (alias: alias != name) (map nameOn [ (underscored base.name) base.name ]);
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
