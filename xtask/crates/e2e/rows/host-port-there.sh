await 60 answers host-port $SECOND_ADDRESS 8088
