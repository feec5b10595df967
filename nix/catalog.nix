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

  # Where in images/go the modules of these CNI plugins are: those that are carried on are in its name.
  cniClosure = release: programs:
    let carried = builtins.filter (program: !(isIn release program)) programs; in
    builtins.concatStringsSep "-"
      ([ "cni-plugins" release.cni-plugins ] ++ builtins.concatMap (program: [ program.name program.until ]) carried);

  # Of each closure: the version that decides which programs it has.
  versionIn = { cni-plugins = release: release.cni-plugins; kube = release: release.version; kubeadm = release: release.crictl; };

  # Do the versions of a release have this program? Where it has moved away from them, a component may carry it on.
  atMost = one: other: builtins.compareVersions one other <= 0;
  isIn = release: { closure, since ? null, until ? null, ... }:
    let version = versionIn.${closure} release; in
    (since == null || atMost since version) && (until == null || atMost version until);
  isCarried = release: go: program:
    builtins.elem program.name (go.carry or [ ]) && program ? moved-to
      && !(atMost (versionIn.${program.closure} release) program.until);

  # The programs of a component that are not left out and that it has in a release.
  programs = release: go: builtins.filter (program: isIn release program || isCarried release go program)
    (map (name: find name catalog.program) (kept go.programs));

  # Where in images/go the modules of a component are, by release and component; null where none of its programs is left.
  # Each is evaluated once.
  closureOf = release: { name, go ? { programs = [ ]; }, ... }:
    let
      own = programs release go;
      closures = map (program: program.closure) own;
      has = name: builtins.elem name closures;
      value =
        if closures == [ ] then null
        else if has "cni-plugins" then cniClosure release own
        else if has "kubeadm" then "${release.version}/kubeadm"
        else "${release.version}/kube";
    in
    { inherit name value; };
  closures = builtins.listToAttrs (map
    (release: { name = release.version; value = builtins.listToAttrs (map (closureOf release) catalog.component); })
    catalog.release);
  closure = release: name: closures.${release.version}.${name};

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

  # The components of a base for a product, and the layers of an image, lowest first.
  baseComponents = base: product: kept (builtins.filter (isFor product.name) base.components);
  layers = attribute: [ attribute.base.name ] ++ kept attribute.variant.components;

  inherit closure;
  # The closures of an image's programs.
  closures = { variant, release, ... }:
    builtins.filter (found: found != null) (map (closure release) (kept variant.components));
  # Those of the CNI plugins that components of a release take, with the plugins' versions.
  cniClosures = release:
    let isOfPlugins = name: name != null && builtins.substring 0 12 name == "cni-plugins-"; in
    builtins.listToAttrs (map (name: { inherit name; value = release.cni-plugins; })
      (builtins.filter isOfPlugins (builtins.attrValues closures.${release.version})));
}
