//! `tests/cluster/provision`: machines become a cluster by the script that Vagrant runs.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use progress::Silent;
use tests::cluster::{self, Cluster, LONG, Nodes};
use tests::{root, skip};
use vm::Init;

const RELEASE: &str = "v1.37.2";
/// Where Vagrant has the repository, and what is in it of the image.
const REPOSITORY: &str = "/vagrant";
const LAYOUT: &str = "/vagrant/target/images/kubelet-v1_37_2-kubeadm-cni";
const SERVER: &str = r#"
apiVersion: v1
kind: Pod
metadata: { name: server }
spec:
  nodeName: node1
  containers:
  - name: server
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sh, -c, "mkdir /www && echo served >/www/index.html && exec busybox httpd -f -p 80 -h /www"]
"#;

/// Writes a file of the repository into a machine.
fn put(cluster: &mut Cluster, index: usize, path: &str, text: &str) -> Result<()> {
    let file = format!("{REPOSITORY}/{path}");
    let script = format!(
        "mkdir -p $(dirname {file})\ncat >{file} <<'END_OF_THE_FILE'\n{text}END_OF_THE_FILE\nchmod 755 {file}\n"
    );
    cluster.nodes[index].machine.ok(&script, LONG).map(drop)
}

/// Runs the script as the Vagrantfile does.
fn provision(cluster: &mut Cluster, index: usize, role: &str) -> Result<()> {
    let addresses: Vec<&str> = cluster.nodes.iter().map(|node| node.address.as_str()).collect();
    let script = format!(
        "export K8S_VERSION={RELEASE} RUNTIME=containerd NUMBER={index} ADDRESSES='{}' SHARED={REPOSITORY}/target/cluster\n\
         {REPOSITORY}/tests/cluster/provision {role}\n",
        addresses.join(" ")
    );
    let said = cluster.nodes[index].machine.ok(&script, LONG);
    said.map(drop).with_context(|| format!("provision {role}"))
}

#[test]
fn machines_become_a_cluster_by_the_script_that_vagrant_runs() -> Result<()> {
    if skip::unless_full("two virtual machines, provisioned as by Vagrant: ten minutes")
        || cluster::skip_without(Nodes::Vm)?
    {
        return Ok(());
    }
    let kit = cluster::kit(RELEASE, "kubelet-v1_37_2-kubeadm-cni-amd64", Init::Systemd)?;
    let image = kit.image().to_owned();
    let mut cluster = Cluster::new(kit)?;
    for index in 0..2 {
        cluster.bare(&Silent)?;
        for path in ["docs/cluster.md", "tests/cluster/provision"] {
            put(&mut cluster, index, path, &fs::read_to_string(root().join(path))?)?;
        }
        // The layout that is built beside the Vagrantfile, and no image but that.
        let unpack = format!(
            "set -e; mkdir -p {LAYOUT}; tar -C {LAYOUT} -xf $(/usr/lib/vm/image image0); ctr images rm {image}"
        );
        cluster.nodes[index].machine.ok(&unpack, LONG)?;
    }
    provision(&mut cluster, 0, "first")?;
    let join = cluster.nodes[0].machine.ok(&format!("cat {REPOSITORY}/target/cluster/join"), LONG)?;
    put(&mut cluster, 1, "target/cluster/join", &join)?;
    provision(&mut cluster, 1, "join")?;
    // At each `vagrant up`.
    (0..2).try_for_each(|index| provision(&mut cluster, index, "boot"))?;
    cluster.kubectl("wait --for=condition=Ready nodes --all --timeout=5m")?;
    let paths = "{range .items[*]}{.metadata.name} {.status.addresses[0].address}{\"\\n\"}{end}";
    let nodes = cluster.kubectl(&format!("get nodes --output 'jsonpath={paths}'"))?;
    let expected: Vec<String> =
        cluster.nodes.iter().map(|node| format!("{} {}", node.name, node.address)).collect();
    ensure!(nodes.lines().eq(&expected), "{nodes}");
    // From a pod of one machine to one of the other: by the routes.
    cluster.apply(SERVER)?;
    cluster.kubectl("wait --for=condition=Ready pod/server --timeout=5m")?;
    let address = cluster.kubectl("get pod/server --output 'jsonpath={.status.podIP}'")?;
    ensure!(address.starts_with("10.244.1."), "{address}");
    let request = r"printf 'GET / HTTP/1.0\r\n\r\n'";
    let ask = format!("timeout 20 bash -c \"exec 3<>/dev/tcp/{address}/80 && {request} >&3 && cat <&3\"");
    let said = cluster.nodes[0].machine.ok(&ask, LONG)?;
    ensure!(said.contains("served"), "{said}");
    Ok(())
}

/// What stands in for Vagrant: it notes what it is told, one line each.
const VAGRANT: &str = r##"
class Told
  def initialize(name) = @name = name
  def respond_to_missing?(*) = true
  def method_missing(word, *values, **named, &block)
    flat = ->(value) { value.is_a?(Hash) ? value.map { |key, inner| "#{key}=#{flat.(inner)}" }.join(" ") : value }
    puts "#{@name}.#{word} #{[*values, flat.(named)].join(" ")}"
    inner = Told.new(values.empty? ? "#{@name}.#{word}" : values[0])
    block&.call(inner)
    inner
  end
end
module Vagrant
  def self.configure(_version) = yield(Told.new("all"))
end
load ARGV[0]
"##;

#[test]
fn the_vagrantfile_tells_each_machine_its_part() -> Result<()> {
    if skip::without(&["ruby"])? {
        return Ok(());
    }
    let told = |release: Option<&str>| -> Result<String> {
        let mut ruby = Command::new("ruby");
        ruby.args(["-w", "-e", VAGRANT]).arg(root().join("tests/cluster/Vagrantfile"));
        ruby.envs(release.map(|release| ("K8S_VERSION", release)));
        let out = ruby.output()?;
        let (stdout, stderr) = (String::from_utf8(out.stdout)?, String::from_utf8(out.stderr)?);
        ensure!(out.status.success() && stderr.is_empty(), "{stderr}");
        Ok(stdout)
    };
    let said = told(None)?;
    for (node, role, address, number) in
        [("node", "first", "192.168.56.10", 0), ("node1", "join", "192.168.56.11", 1)]
    {
        for words in [
            format!("{node}.vm.network private_network ip={address}"),
            format!(
                "{node}.vm.provision shell inline=/vagrant/tests/cluster/provision {role} env=K8S_VERSION="
            ),
            format!(" NUMBER={number} ADDRESSES=192.168.56.10 192.168.56.11 "),
        ] {
            ensure!(said.contains(&words), "no `{words}` in:\n{said}");
        }
    }
    assert_eq!(said.matches(&format!("K8S_VERSION={RELEASE} ")).count(), 4, "{said}");
    assert_eq!(told(Some("v1.26.0"))?.matches("K8S_VERSION=v1.26.0 ").count(), 4);
    Ok(())
}
