"""What models say of any picture, and how long they take."""
