# Stands for nixpkgs where that cannot be reached: this machine's own tools under the names that nix/ uses. It says where
# tools and files come from; what is done with them is nix/'s alone. `host.json` says where they are here.
{
  outputs = _:
    let
      host = builtins.fromJSON (builtins.readFile ./host.json);
      system = "x86_64-linux";
      bin = input: "${input}/bin";
      runCommand = name: attributes: script: derivation
        ({
          inherit name system;
          builder = "/bin/bash";
          args = [
            "-ec"
            ''
              cd "$TMPDIR"
              eval "$buildCommand"
            ''
          ];
          PATH = builtins.concatStringsSep ":" (map bin (attributes.nativeBuildInputs or [ ]) ++ [ host.path ]);
          buildCommand = script;
        } // host.environment // builtins.removeAttrs attributes [ "nativeBuildInputs" "passthru" ])
      // attributes.passthru or { };
      # This machine's program, or one that is missed by whoever runs it.
      tool = name: runCommand name { } ''
        mkdir -p $out/bin
        ${if host.tools ? ${name} then "ln -s ${host.tools.${name}} $out/bin/${name}" else ""}
      '';
      pkgs = {
        inherit runCommand;
        runCommandCC = runCommand;
        stdenv.hostPlatform = { inherit system; };
        # A file that was fetched before, by its hash.
        fetchurl = { name, sha256, ... }: runCommand name
          {
            outputHashMode = "flat";
            outputHashAlgo = "sha256";
            outputHash = sha256;
          } ''cp ${host.files}/${sha256} $out'';
        writeShellScriptBin = name: text: runCommand name { text = "#!/bin/bash\n${text}\n"; } ''
          mkdir -p $out/bin
          printf %s "$text" > $out/bin/${name}
          chmod +x $out/bin/${name}
        '';
        mkShell = { packages }: runCommand "shell" { nativeBuildInputs = packages; } "echo > $out";
        go = runCommand "go" { } "mkdir $out; ln -s ${host.go}/bin $out/bin";
        # A build script has none: it fetches nothing.
        python3.withPackages = _: runCommand "python3" { } "mkdir $out";
        nixpkgs-fmt = tool "nixpkgs-fmt";
        deadnix = tool "deadnix";
      };
    in
    { legacyPackages.x86_64-linux = pkgs; legacyPackages.aarch64-linux = pkgs // { stdenv.hostPlatform.system = "aarch64-linux"; }; };
}
