# Alpine's files of a base, by the lock of its branch.
{ pkgs }:
let
  path = base: "images/locks/alpine-${builtins.substring 1 100 base.alpine.branch}.json";
  isLocked = base: builtins.pathExists (../. + "/${path base}");
  lockOf = base: if isLocked base then path base else throw "${path base} is missing: run `cargo xtask lock alpine`, and in a git checkout `git add` it";
in
{
  inherit lockOf isLocked;

  # What a layer of the base is made of for a product and architecture: the root filesystem and the packages, lying as they
  # do on Alpine's servers, so that `--mirror` can name it.
  files = { base, product, arch, ... }:
    let
      locked = (builtins.fromJSON (builtins.readFile (../. + "/${lockOf base}"))).arches.${arch.name};
      installed = locked.worlds.${product.name}.install;
      packages = builtins.filter (package: builtins.elem "${package.name}-${package.version}" installed) locked.packages;
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
      (builtins.concatStringsSep "" (map file ([ locked.rootfs ] ++ packages)));
}
