here=$(web_on $FIRST .metadata.name) there=$(web_on $SECOND .metadata.name)
same "$(ask_from "$here" "$(web_on $SECOND .status.podIP)" 80)" "$there"
same "$(ask_from "$there" "$(web_on $FIRST .status.podIP)" 80)" "$here"
