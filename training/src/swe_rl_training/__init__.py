"""What runs inside the training image: from recorded calls of an agent to what verl trains on."""
