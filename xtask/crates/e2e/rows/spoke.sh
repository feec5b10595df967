await 600 spoke $SECOND
await 600 kubectl wait --for=condition=Ready node/$SECOND --timeout=20s >/dev/null
