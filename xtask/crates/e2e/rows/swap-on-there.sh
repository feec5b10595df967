# A quarter of a gigabyte of swap, and a kubelet that lets pods have of it. Before 1.28 it gave pods with a limit of memory none
# unless they might have all, and before 1.30 it had to be told that it knows of swap.
config=/var/lib/kubelet/config.yaml
minor=${RELEASE#v1.} && minor=${minor%%.*}
head -c 256M /dev/zero >/swap
chmod 600 /swap
busybox mkswap /swap >/dev/null
busybox swapon /swap
cp $config /var/lib/e2e-config.yaml
sed -i '/^memorySwap:/d; /^failSwapOn:/d' $config
{
  echo 'failSwapOn: false'
  if [ "$minor" -lt 28 ]; then echo 'memorySwap: {swapBehavior: UnlimitedSwap}'; else echo 'memorySwap: {swapBehavior: LimitedSwap}'; fi
  if [ "$minor" -lt 30 ]; then echo 'featureGates: {NodeSwap: true}'; fi
} >>$config
