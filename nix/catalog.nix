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

  # A release as a component takes it: with the component's own version of the CNI plugins, if it states one.
  releaseOf = go: release: release // (if go ? cni-plugins then { inherit (go) cni-plugins; } else { });

  # Where in images/go the CNI plugins' modules are.
  cniClosure = version: "cni-plugins-${version}";

  # Of each closure: the version that decides which programs it has.
  versionIn = { cni-plugins = release: release.cni-plugins; kube = release: release.version; kubeadm = release: release.crictl; };

  # The programs of a component that are not left out and that the versions of a release have.
  programs = release: go:
    let
      atMost = one: other: builtins.compareVersions one other <= 0;
      isIn = { closure, since ? null, until ? null, ... }:
        let version = versionIn.${closure} (releaseOf go release); in
        (since == null || atMost since version) && (until == null || atMost version until);
    in
    builtins.filter isIn (map (name: find name catalog.program) (kept go.programs));

  # Where in images/go the modules of a component are, by release and component; null where none of its programs is left.
  # Each is evaluated once.
  closureOf = release: { name, go ? { programs = [ ]; }, ... }:
    let
      closures = map (program: program.closure) (programs release go);
      has = name: builtins.elem name closures;
      value =
        if closures == [ ] then null
        else if has "cni-plugins" then cniClosure (releaseOf go release).cni-plugins
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
    let
      own = builtins.filter (component: component ? go.cni-plugins) catalog.component;
      versions = [ release.cni-plugins ] ++ map (component: component.go.cni-plugins) own;
    in
    builtins.listToAttrs (map (version: { name = cniClosure version; value = version; }) versions);
}
