ready configuration
said=$(kubectl exec configuration -- sh -c '
  echo "$COLOUR $WORD $NODE $LIMIT"
  cat /settings/colour && echo && cat /one/colour && echo && cat /hidden/word && echo && cat /both/c/colour && echo
  cat /both/word && echo && cat /both/mood && echo
  stat -L -c %a /hidden/word
  test -s /both/token && echo token
  grep " /memory " /proc/mounts | cut -d " " -f 1-3
  touch /scratch/file && echo written')
same "$said" 'blue hush node1 33554432
blue
blue
hush
blue
hush
calm
400
token
tmpfs /memory tmpfs
written'
