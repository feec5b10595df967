# Locked files from outside, by the entries of images/locks/toolchains.json, in directories that `--mirror` can name.
{ pkgs, lock, host }:
let
  fetch = name: url: sha256: pkgs.fetchurl { inherit name url sha256; };
  # PyPI's address of a file by its project and its tag for Python.
  wheel = project: python: file:
    fetch file.file "https://files.pythonhosted.org/packages/${python}/${builtins.substring 0 1 project}/${project}/${file.file}" file.sha256;
  go = lock.go.hosts."linux-${host}";
  files = {
    # As a module, by the user's module proxy.
    go = pkgs.runCommand "${go.version}.zip"
      {
        nativeBuildInputs = [ pkgs.go ];
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = go.sha256;
        impureEnvVars = import ./go-environment.nix;
      } ''
      export HOME=$TMPDIR/home GOMODCACHE=$TMPDIR/modules GOTOOLCHAIN=local
      go mod download ${lock.go.module}@${go.version}
      cp $GOMODCACHE/cache/download/${lock.go.module}/@v/${go.version}.zip $out
    '';
    zig = wheel lock.zig.project "py3" lock.zig.hosts."linux-${host}";
    cargo-zigbuild = wheel lock.cargo-zigbuild.project "py3" lock.cargo-zigbuild.hosts."linux-${host}";
    ca-certificates = wheel lock.ca-certificates.project "py3" lock.ca-certificates.wheel;
  };
in
# The names of the files that are needed.
names: pkgs.runCommand "inputs" { } ''
  mkdir $out
  ${builtins.concatStringsSep "\n" (map (name: "ln -s ${files.${name}} $out/${files.${name}.name}") names)}
''
