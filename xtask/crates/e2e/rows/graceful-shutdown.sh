ready graceful
hold $SECOND
