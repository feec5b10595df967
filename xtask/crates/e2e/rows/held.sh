held $SECOND
