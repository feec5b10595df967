hold $SECOND
