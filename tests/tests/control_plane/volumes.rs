//! Persistent volumes on micro, which has no program for any of them: ext4 made by the host's mkfs, `volumeMode: Block` held
//! by the host's losetup, NFS mounted by the host's helper.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::cluster::{Cluster, LONG};
use tests::vm::NFS_SERVER;

const ALL: &str = include_str!("volumes.yaml");
/// The disks, by serial number.
const FIND: &str = r#"
for serial in disk0 disk1; do
  for block in /sys/block/vd*; do
    if [ "$(cat $block/serial)" = $serial ]; then echo /dev/${block##*/}; fi
  done
done
"#;
/// What a pod's end leaves: nothing.
const GONE: &str =
    "! grep -e local-volume -e kubernetes.io~nfs /proc/1/mountinfo && [ -z \"$(losetup --list)\" ]";
/// How long a volume may take to be set up or taken down.
const SOON: Duration = Duration::from_mins(10);

#[test]
fn persistent_volumes_are_formatted_mapped_and_mounted_by_the_hosts_programs() -> Result<()> {
    crate::with_cluster(|cluster| {
        let said = cluster.nodes[0].machine.ok(FIND, LONG)?;
        let disks: Vec<&str> = said.lines().collect();
        let [formatted, raw] = disks[..] else { anyhow::bail!("two disks expected: {disks:?}") };
        let blank = cluster.nodes[0].machine.ok(&format!("blkid -p {formatted} {raw} || echo $?"), LONG)?;
        assert_eq!(blank, "2\n", "the disks are empty at first");
        cluster.nodes[0].machine.ok(&format!("set -e\n{NFS_SERVER}"), LONG)?;
        cluster.apply(&ALL.replace("DISK0", formatted).replace("DISK1", raw))?;
        let written = "grep -qx shared /srv/export/file || { kubectl describe pod volumes >&2; exit 1; }";
        cluster.wait("pod that writes to its volumes", written, SOON)?;
        seen_by_the_host(cluster, formatted, raw)?;

        cluster.kubectl("delete pod volumes")?;
        cluster.wait("volumes taken down", GONE, SOON)?;
        // Kept, and seen without Kubernetes.
        let kept = format!("mount {formatted} /mnt && cat /mnt/file && umount /mnt && head -c 4 {raw}");
        assert_eq!(cluster.nodes[0].machine.ok(&kept, LONG)?, "formatted\nraw\n");
        cluster.kubectl("delete pvc --all && kubectl delete pv --all").map(drop)
    })
}

/// While the pod runs: a filesystem of the host's making, a loop device that holds the disk, and mounts, in process 1's view.
fn seen_by_the_host(cluster: &mut Cluster, formatted: &str, raw: &str) -> Result<()> {
    let said = cluster.nodes[0].machine.ok(&format!("blkid -p -s TYPE -o value {formatted}"), LONG)?;
    assert_eq!(said, "ext4\n");
    let mounts = cluster.nodes[0].machine.ok("cat /proc/1/mountinfo", LONG)?;
    let mounted = |words: [&str; 2]| {
        mounts
            .lines()
            .any(|line| line.contains("/var/lib/kubelet/") && words.iter().all(|word| line.contains(word)))
    };
    ensure!(mounted([" ext4 ", formatted]) && mounted([" nfs4 ", "kubernetes.io~nfs/shared"]), "{mounts}");
    let loops = cluster.nodes[0].machine.ok("losetup --list --noheadings --output NAME,BACK-FILE", LONG)?;
    ensure!(
        loops.lines().count() == 1 && loops.contains("/dev/loop"),
        "`{raw}` is held by no loop device: {loops}"
    );
    Ok(())
}
