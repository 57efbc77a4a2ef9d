//! The words of the made-up flyers. Words early in a list are used often, and late ones rarely.

/// The phrases of one language.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Subjects by category, in the order of [`Category::ALL`](crate::models::Category::ALL).
    pub(super) subjects: [&'static [&'static str]; 3],
    pub(super) adjectives: &'static [&'static str],
    pub(super) offers: &'static [&'static str],
    pub(super) openings: &'static [&'static str],
    pub(super) details: &'static [&'static str],
    pub(super) closings: &'static [&'static str],
    /// The preposition before a town.
    pub(super) at: &'static str,
}

#[rustfmt::skip]
pub(super) static GERMAN: Phrases = Phrases {
    subjects: [
        &[
            "Flohmarkt", "Konzert", "Lesung", "Quartierfest", "Wochenmarkt", "Vernissage", "Kinderflohmarkt",
            "Theater", "Stadtführung", "Open-Air-Kino", "Jassturnier", "Chorprobe", "Räbeliechtliumzug",
            "Jodelabend", "Töpferkurs", "Velobörse", "Kürbisfest", "Alphorn-Workshop", "Sternenwanderung",
            "Krämermarkt",
        ],
        &[
            "Party", "DJ-Nacht", "Bar", "Jam-Session", "Karaoke", "Salsa-Abend", "Rock'n'Roll-Nacht",
            "Silent Disco", "Whisky-Tasting", "80er-Fest", "Kellerkonzert", "Poetry-Slam", "Ü30-Party",
            "Drag-Show", "Schlagernacht", "Tango bis zwölf", "Spätvorstellung", "Vinylabend",
        ],
        &[
            "Bäckerei", "Velowerkstatt", "Coiffeur", "Blumenladen", "Änderungsschneiderei", "Hofladen",
            "Café", "Yogastudio", "Uhrmacher", "Hundesalon", "Nähatelier", "Käserei", "Schlüsseldienst",
            "Musikschule", "Brockenstube", "Messerschleiferei", "Imkerei", "Geigenbauer",
        ],
    ],
    adjectives: &[
        "nur heute", "neu", "täglich", "für alle", "günstig", "gemütlich", "größer als je", "hausgemacht",
        "bei jedem Wetter", "barrierefrei", "zum letzten Mal", "süß & salzig",
    ],
    offers: &[
        "Eintritt frei", "20 % Rabatt", "2 für 1", "Kollekte", "erster Kaffee gratis", "50% auf alles",
        "mit Apéro", "Kinder gratis", "nur solange Vorrat", "Gipfeli für 1.–", "100_Franken_Gutschein",
    ],
    openings: &[
        "Kommt vorbei:", "Endlich wieder:", "Nur diese Woche:", "Wir laden ein:", "Neu im Quartier:",
        "Für Groß und Klein:", "Nicht verpassen:",
    ],
    details: &[
        "Eintritt frei.", "Bei schönem Wetter draußen.", "Für Essen und Getränke ist gesorgt.",
        "Hunde willkommen.", "Wir freuen uns auf euch!", "Türöffnung um 19 Uhr.", "Nur Barzahlung.",
        "Anmeldung erwünscht, aber nicht nötig.", "Für die ganze Familie.",
        "Reservation unter der bekannten Nummer.", "Mit Livemusik aus der Region.",
        "Alles handgemacht und aus biologischem Anbau.", "Bitte eigene Tasse mitbringen.",
        "Das Öpfelchüechli gibt's nur bei uns.", "Die Plätze sind knapp: Wer zuerst kommt, mahlt zuerst.",
        "Gewürzt wird mit Safran aus Mund.", "Übernachtung im Heu auf Anfrage.",
        "Es spielt die Kapelle »Zwölfi Chilegglogge«.",
    ],
    closings: &["Infos bei", "Auskunft gibt", "Es grüßt", "Fragen an", "Euer Team von"],
    at: "in",
};

#[rustfmt::skip]
pub(super) static FRENCH: Phrases = Phrases {
    subjects: [
        &[
            "Marché aux puces", "Concert", "Vide-grenier", "Exposition", "Fête de quartier", "Lecture",
            "Théâtre", "Visite guidée", "Cinéma en plein air", "Marché de Noël", "Atelier d'écriture", "Loto",
            "Fête de la musique", "Bal des pompiers", "Course à l'escalade", "Brocante d'été",
            "Festival du livre",
        ],
        &[
            "Soirée DJ", "Bar à vin", "Karaoké", "Soirée salsa", "Rock'n'Roll Party", "Jam session",
            "Nuit blanche", "Cabaret", "Soirée années 80", "Stand-up", "Dégustation d'absinthe", "Guinguette",
            "Bal masqué", "L'Après-Ski",
        ],
        &[
            "Boulangerie", "L'Épicerie", "Coiffeur", "Fleuriste", "Atelier vélo", "Crêperie", "Pâtisserie",
            "Couture", "Fromagerie", "Cordonnerie", "L'Herboristerie", "École de musique", "Toilettage",
            "Réparation d'horloges", "Maraîcher", "L'Œnothèque",
        ],
    ],
    adjectives: &[
        "aujourd'hui seulement", "pour tous", "fait maison", "à deux pas", "tout l'été", "sans réservation",
        "comme à l'époque", "dernière fois",
    ],
    offers: &[
        "entrée libre", "20 % de rabais", "un acheté, un offert", "chapeau à la sortie",
        "premier café offert", "50% sur tout", "apéro compris", "gratuit pour les enfants",
        "jusqu'à épuisement",
    ],
    openings: &[
        "Venez nombreux :", "Cette semaine :", "Enfin de retour :", "À ne pas manquer :",
        "Nouveau près de chez vous :", "Petits et grands :",
    ],
    details: &[
        "Entrée libre.", "Petite restauration sur place.", "Chiens bienvenus.",
        "Ouverture des portes à 19 heures.", "On se réjouit de vous voir !",
        "Paiement en espèces uniquement.", "Inscription souhaitée.", "En cas de pluie, à l'intérieur.",
        "Musique vivante de la région.", "Tout est fait maison, avec des produits d'ici.",
        "N'oubliez pas votre tasse.", "Le gâteau à l'abricot vaut le détour.",
        "Places limitées : premier arrivé, premier servi.", "Possibilité de dormir à l'alpage.",
        "L'orchestre joue jusqu'à l'aube.",
    ],
    closings: &["Renseignements :", "Contact :", "À bientôt chez", "Votre équipe de", "Organisé par"],
    at: "à",
};

#[rustfmt::skip]
pub(super) static ITALIAN: Phrases = Phrases {
    subjects: [
        &[
            "Mercatino", "Concerto", "Mostra", "Festa di quartiere", "Sagra", "Teatro", "Visita guidata",
            "Cinema all'aperto", "Mercato contadino", "Lettura", "Tombola", "Corsa nel bosco",
            "Festa dell'uva", "Laboratorio di ceramica",
        ],
        &[
            "Serata DJ", "Aperitivo", "Karaoke", "Ballo liscio", "Notte Rock'n'Roll", "Jam session",
            "Degustazione", "Cabaret", "Serata anni '80", "Milonga", "Discoteca all'alba",
        ],
        &[
            "Panetteria", "Parrucchiere", "Fiorista", "Gelateria", "Officina bici", "Caffè dell'Angolo",
            "Sartoria", "Calzolaio", "L'Enoteca", "Erboristeria", "Scuola di musica", "Liutaio",
        ],
    ],
    adjectives: &[
        "solo oggi", "per tutti", "fatto in casa", "tutta l'estate", "come una volta", "novità",
        "l'ultima volta",
    ],
    offers: &[
        "entrata libera", "sconto del 20 %", "due al prezzo di uno", "primo caffè gratis", "50% su tutto",
        "bambini gratis", "fino a esaurimento",
    ],
    openings: &[
        "Vi aspettiamo:", "Questa settimana:", "Finalmente di nuovo:", "Da non perdere:", "Novità in città:",
    ],
    details: &[
        "Entrata libera.", "Cucina calda tutta la sera.", "Cani benvenuti.", "Porte aperte dalle 19.",
        "Non vediamo l'ora di incontrarvi!", "Solo contanti.", "È gradita la prenotazione.",
        "In caso di pioggia al coperto.", "Musica dal vivo.", "Tutto fatto a mano, con prodotti della valle.",
        "Portate la vostra tazza.", "La torta di castagne è un'altra cosa.",
        "C'è posto per chi arriva prima.", "Si dorme anche nel fienile.",
    ],
    closings: &["Informazioni:", "A presto da", "Contatto:", "I vostri amici di"],
    at: "a",
};

#[rustfmt::skip]
pub(super) static ENGLISH: Phrases = Phrases {
    subjects: [
        &[
            "Street food market", "Concert", "Book club", "Flea market", "Open studio", "Kids' theatre",
            "Film night", "Language exchange", "Pub quiz", "City walk", "Farmers' market", "Highland games",
        ],
        &[
            "Club night", "Rooftop bar", "Live jazz", "Karaoke", "Rock'n'Roll Party", "Comedy night",
            "Vinyl session", "80s night", "Burlesque show",
        ],
        &[
            "Bike repair", "Barber shop", "Coffee bar", "Yoga studio", "Vintage shop", "Dog sitting",
            "Tailor's", "Piano lessons", "Bookbinder",
        ],
    ],
    adjectives: &["today only", "for everyone", "brand new", "home-made", "all summer", "one last time"],
    offers: &[
        "free entry", "20 % off", "two for one", "first coffee's on us", "50% off everything",
        "while stocks last",
    ],
    openings: &["Come along:", "Back at last:", "This week only:", "Don't miss it:", "New in town:"],
    details: &[
        "Free entry.", "Food and drinks on site.", "Dogs welcome.", "Doors open at 7 pm.",
        "We can't wait to see you!", "Cash only.", "Registration's welcome.", "Moves indoors if it rains.",
        "With live music.", "Everything's made by hand.", "Bring your own cup.", "First come, first served.",
        "Sleeping bags can be hired.",
    ],
    closings: &["Ask for", "See you at", "Hosted by", "Yours,"],
    at: "in",
};

/// Rare words: the first one is in one flyer of some thousands, the last one in one of a hundred thousand.
#[rustfmt::skip]
pub(super) static RARE: [&str; 24] = [
    "Zwetschgenröster", "Quittengelee", "Kouglof", "Alphornbläser", "Theremin", "Sbrinz", "Örgeli",
    "Château-Lafleur", "Zabaglione", "Schwyzerörgeli", "Xylophon", "Feuerschlucker", "Absinthe d'antan",
    "Blauburgunder", "Hackbrett", "L'ukulélé", "Papiertheater", "Flöhzirkus", "Ça-va-bien-Kapelle",
    "Łódź-Express", "Smørrebrød", "Þingvellir", "Ypsilon-Chor", "Zitherschlägel",
];

#[rustfmt::skip]
pub(super) static STARTS: [&str; 40] = [
    "Al", "Bel", "Cor", "Da", "Es", "Fio", "Gal", "Hel", "Ima", "Jo", "Kal", "Lu", "Mar", "Nor", "Or", "Pa",
    "Qui", "Ro", "Sal", "Ti", "Ul", "Vel", "Wil", "Xan", "Yve", "Zum", "Äl", "Öl", "Üb", "Él", "Bru", "Chri",
    "Dre", "Fla", "Gri", "Kno", "Pfau", "Schwa", "Tra", "Zwi",
];

#[rustfmt::skip]
pub(super) static MIDDLES: [&str; 32] = [
    "a", "o", "i", "be", "da", "fe", "ga", "li", "ma", "ne", "ra", "ri", "sa", "ta", "va", "ve", "zo", "che",
    "dra", "gno", "le", "mi", "nte", "po", "sche", "sto", "te", "xi", "ü", "ö", "è", "drü",
];

#[rustfmt::skip]
pub(super) static ENDINGS: [&str; 32] = [
    "na", "ra", "lo", "ris", "do", "ton", "via", "ro", "bar", "dorf", "ina", "ello", "ette", "hof", "ikon",
    "ix", "la", "mann", "nia", "on", "pia", "que", "rama", "schi", "stein", "tal", "us", "wil", "zian",
    "burg", "égon", "ütli",
];
