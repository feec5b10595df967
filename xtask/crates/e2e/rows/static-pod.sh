await 300 kubectl get pod lonely-$SECOND >/dev/null
ready lonely-$SECOND
