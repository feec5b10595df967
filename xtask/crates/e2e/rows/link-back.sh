# It is back, and its pods were not moved for so short a time.
kept $SECOND
await 120 is node/$SECOND '{.spec.taints}' ''
