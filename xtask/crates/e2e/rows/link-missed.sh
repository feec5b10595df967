# While the cable is out, for a minute at least: nobody hears of the node.
end=$((SECONDS + 60))
await 300 is node/$SECOND '{.status.conditions[?(@.type=="Ready")].status}' Unknown
if [ $SECONDS -lt $end ]; then sleep $((end - SECONDS)); fi
