"""Every bound of the shell server in one place. Sizes in bytes unless the name says otherwise."""

from interlock.servers.workspace.limits import KIB, MIB

COMMAND_CHARACTERS = 30_000  # the kernel takes 128 KiB in one argument, and a character has up to four bytes
STDIN_CHARACTERS = MIB
TIMEOUT_S = 60
TIMEOUT_MAX_S = 600
PREVIEW_S = 100  # whoever asks for a preview waits for it

MEMORY_MB = 4096
PROCESSES = 512
FILE_BYTES = 2048 * MIB  # the largest file that a command may write
FREE_BYTES = 512 * MIB  # a command that leaves less on the disk is ended

STDOUT_BYTES = 64 * KIB  # half of it from the beginning, half from the end
STDERR_BYTES = 32 * KIB
SHOWN_BYTES = 4 * KIB  # of the output, in a preview
ANSWER_BYTES = 240 * KIB  # larger structured answers are dropped by their readers
ANSWER_FILES = 200  # changes that are listed one by one; the others are counted
ANSWER_DIFF_BYTES = 32 * KIB

COPY_BYTES = 2048 * MIB
COPY_ENTRIES = 100_000
SCANNED_ENTRIES = 300_000  # in the copy after a command, and in a folder that is not copied
TOUCHED_PATHS = 10_000

HELD_RESULTS = 32
HELD_BYTES = 1024 * MIB
HELD_S = 25 * 3600  # a little longer than a question to a person stays open

GRACE_S = 1.5  # for a command's processes to be gone once they were told to
POLL_S = 0.1
