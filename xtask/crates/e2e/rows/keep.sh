keep $SECOND
