gone() { [ -z "$(kubectl get pod lonely-$SECOND --ignore-not-found --output=name)" ]; }
await 300 gone
