"""Says the names of the variables that it got."""

import os

from raw import call, hello, say

hello()
say(sorted(os.environ))
call("finish")
