kept $SECOND
