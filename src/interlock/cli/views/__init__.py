"""What people see: pure functions from the API's JSON to lines of text."""
