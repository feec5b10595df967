# What changes in the API changes in the pod, at once for all files; a subPath's file stays as it was.
ready configuration
kubectl patch configmap settings --patch '{"data":{"colour":"green"}}' >/dev/null
kubectl patch secret hidden --patch '{"stringData":{"word":"aloud"}}' >/dev/null
kubectl annotate --overwrite pod configuration mood=brisk >/dev/null
files() { same "$(kubectl exec configuration -- sh -c "cat /settings/colour /hidden/word /both/c/colour /both/word /both/mood /one/colour")" greenaloudgreenaloudbriskblue; }
await 300 files
