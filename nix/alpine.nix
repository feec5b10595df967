# Alpine's files of a base, by the lock of its branch.
{ pkgs, catalog }:
let
  path = base: "images/locks/alpine-${builtins.substring 1 100 base.alpine.branch}.json";
  isThere = base: builtins.pathExists (../. + "/${path base}");
  # The words of `missing` in xtask/crates/alpine/src/lock.rs.
  lockOf = base: if isThere base then path base else throw "${path base} is missing: `cargo xtask lock alpine` makes it from Alpine's servers, or a mirror of them, in about a minute";
  # Each lock read once.
  locks = builtins.listToAttrs (map
    (base: { inherit (base) name; value = (builtins.fromJSON (builtins.readFile (../. + "/${lockOf base}"))).arches; })
    (builtins.filter (base: base ? alpine) catalog.base));

  # What is added to the root filesystem for a product and architecture.
  packages = { base, product, arch, ... }:
    let
      locked = locks.${base.name}.${arch.name};
      installed = locked.worlds.${product.name}.install;
    in
    builtins.filter (package: builtins.elem "${package.name}-${package.version}" installed) locked.packages;
  # A derivation is pinned by what it gives, which Alpine's index does not say of a package's file.
  unpinned = attribute: builtins.filter (package: !(package ? sha256)) (packages attribute);
  isComplete = { arch, ... }@attribute:
    builtins.all (arch: unpinned (attribute // { inherit arch; }) == [ ]) (if arch == null then catalog.arch else [ arch ]);
in
{
  inherit lockOf;

  isLocked = attribute: !(attribute.base ? alpine) || isThere attribute.base && isComplete attribute;

  # What a layer of the base is made of for a product and architecture: the root filesystem and the packages, lying as they
  # do on Alpine's servers, so that `--mirror` can name it.
  files = { base, product, arch, ... }@attribute:
    let
      missing = builtins.length (unpinned attribute);
      all =
        if missing == 0 then packages attribute
        else throw "${path base} pins ${toString missing} packages of ${product.name} for ${arch.name} by Alpine's index alone: `cargo xtask lock alpine --complete` adds their SHA-256";
      file = { path, sha256, ... }:
        let
          fetched = pkgs.fetchurl {
            inherit sha256;
            name = builtins.baseNameOf path;
            url = "${base.alpine.url}/${path}";
          };
        in
        "mkdir -p $out/${builtins.dirOf path}; ln -s ${fetched} $out/${path}\n";
    in
    pkgs.runCommand "alpine-${product.name}-${arch.name}" { }
      (builtins.concatStringsSep "" (map file ([ locks.${base.name}.${arch.name}.rootfs ] ++ all)));
}
