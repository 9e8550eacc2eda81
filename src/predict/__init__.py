"""What models say of any picture: how ./run.sh predict finds pictures and models, looks, and times."""
