"""Made-up names and short texts. Everything here is invented; e-mail addresses end in example.com."""

FIRST_NAMES = (
    "Ada", "Amara", "Anton", "Beatriz", "Caleb", "Chidi", "Clara", "Dana", "Darius", "Elena", "Emeka",
    "Farah", "Felix", "Grace", "Hana", "Hugo", "Imani", "Ines", "Isaac", "Jonas", "Jun", "Kavya",
    "Keira", "Lars", "Leila", "Linh", "Luca", "Maeve", "Marek", "Mateo", "Mina", "Nadia", "Noor",
    "Omar", "Paloma", "Priya", "Quinn", "Rafael", "Rosa", "Samir", "Sofia", "Tamar", "Teo", "Uma",
    "Viktor", "Wren", "Yara", "Yusuf", "Zoe", "Zuri",
)  # fmt: skip
LAST_NAMES = (
    "Abara", "Alvarez", "Baker", "Bauer", "Chen", "Costa", "Dahl", "Diaz", "Eze", "Farrow", "Fischer",
    "Garcia", "Haddad", "Hale", "Ito", "Ivanov", "Jansen", "Joshi", "Kaplan", "Kim", "Kowalski", "Lam",
    "Lindqvist", "Lopez", "Mbeki", "Meyer", "Moreau", "Nakamura", "Nguyen", "Novak", "Okafor", "Olsen",
    "Park", "Patel", "Quist", "Reyes", "Rossi", "Sato", "Silva", "Singh", "Stone", "Tanaka", "Torres",
    "Usman", "Vance", "Varga", "Weber", "Wolfe", "Yilmaz", "Zhang",
)  # fmt: skip
STUDENT_COMMENTS = {
    1: (
        "The tutor seemed unprepared.",
        "We did not get anywhere today.",
        "I had to explain my own homework twice.",
    ),
    2: ("It was hard to follow.", "Too fast for me.", "The connection dropped and we lost time."),
    3: ("It was fine.", "Some parts helped.", "I still have questions about the last topic."),
    4: ("Good session, clear examples.", "Helpful, thank you.", "I understand it better now."),
    5: (
        "Best explanation I have had so far.",
        "Patient and clear.",
        "I finally got it.",
        "We finished everything early.",
    ),
}
TUTOR_COMMENTS = {
    2: ("The student was tired and distracted.", "No homework was brought."),
    3: ("Steady progress, needs more practice.", "Fractions are still shaky."),
    4: ("Good focus today.", "Asked the right questions."),
    5: ("Excellent session, ready for the next chapter.", "Solved the hard ones alone."),
}
RESCHEDULE_REASONS = {
    "tutor": ("schedule_conflict", "illness", "family_matter", "travel", "technical_trouble"),
    "student": ("homework_clash", "illness", "school_event", "travel"),
    "system": ("double_booking", "platform_maintenance"),
}
SUMMARIES = {
    "good": "The tutor checked understanding often, praised progress and closed with a plan for {subject}.",
    "fair": "The session covered {subject}. Explanations were mostly clear, with few questions asked.",
    "poor": "The student said several times that {subject} was confusing; the tutor moved on.",
}
