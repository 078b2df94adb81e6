//! Where everything is: built once in `main`, passed down.
