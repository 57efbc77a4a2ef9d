//! Made-up accounts.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dice::{Subject, pick_skewed, stream};
use super::world::{DAY, NEW, TODAY, World};
use super::{DOMAIN, PERSONAS};
use crate::db::Db;
use crate::error::Result;
use crate::models::User;
use crate::schema::users;

/// Generates the accounts one after the other.
#[derive(Debug)]
pub(super) struct Accounts<'a> {
    world: &'a World,
    password_hash: &'a str,
    rng: ChaCha8Rng,
}

impl<'a> Accounts<'a> {
    pub(super) fn new(world: &'a World, password_hash: &'a str) -> Self {
        Self { world, password_hash, rng: stream(world.plan.seed, Subject::Accounts) }
    }

    pub(super) fn next(&mut self, user: u32) -> User {
        let rng = &mut self.rng;
        let number = user + 1;
        let name = format!("{}.{}.{number}", pick_skewed(rng, &FIRST_NAMES), pick_skewed(rng, &SURNAMES));
        let username = match PERSONAS.get(user as usize).and_then(|email| email.split_once('@')) {
            Some((persona, _)) => persona.to_owned(),
            None => name,
        };
        let email = format!("{username}@{DOMAIN}");
        let picture = rng.random_ratio(1, 3);
        User {
            id: self.world.user_id(user),
            email_key: email.clone(),
            email,
            username,
            password_hash: self.password_hash.to_owned(),
            profile_picture_url: picture
                .then(|| format!("https://images.demo.pockitflyer.test/users/{number}.jpg")),
            created_at: self.registered(user),
            relations_version: 0,
            // Not drawn from the seed, because others may know it.
            token_key: rand::random(),
            lifts: 0,
        }
    }

    /// The time of registration. It follows the order of the ids, in the year before the first flyer. Only the persona
    /// `new` registered an hour before today.
    fn registered(&mut self, user: u32) -> NaiveDateTime {
        if user == NEW {
            return self.world.second(i64::from(TODAY) - 3_600);
        }
        let place = |user: u32| i64::from(TODAY - DAY) * i64::from(user) / i64::from(self.world.plan.users);
        let second = self.rng.random_range(place(user)..=place(user + 1));
        self.world.second(second - i64::from(TODAY))
    }
}

/// Whether there is an account with the demo domain. Without one, this scans the whole table `users`.
pub(super) fn demo_account_exists(connection: &mut Db) -> Result<bool> {
    let ours = users::table.filter(users::email_key.like(format!("%@{DOMAIN}")));
    Ok(ours.select(users::id).first::<i64>(connection).optional()?.is_some())
}

/// Whether there is an account with another domain.
pub(super) fn other_account_exists(connection: &mut Db) -> Result<bool> {
    let others = users::table.filter(users::email_key.not_like(format!("%@{DOMAIN}")));
    Ok(others.select(users::id).first::<i64>(connection).optional()?.is_some())
}

/// Appends a suffix to usernames that other accounts have: one probe of the index for each name.
pub(super) fn make_usernames_free(connection: &mut Db, accounts: &mut [User]) -> Result<()> {
    for account in accounts {
        let wanted = account.username.clone();
        let mut number = 1;
        while is_taken(connection, &account.username)? {
            number += 1;
            account.username = format!("{wanted}.demo{number}");
        }
    }
    Ok(())
}

fn is_taken(connection: &mut Db, username: &str) -> Result<bool> {
    let user = users::table.filter(users::username.eq(username));
    Ok(user.select(users::id).first::<i64>(connection).optional()?.is_some())
}

#[rustfmt::skip]
static FIRST_NAMES: [&str; 72] = [
    "anna", "luca", "mia", "noah", "lea", "leon", "emma", "elias", "sara", "jan", "laura", "david", "nina",
    "samuel", "lena", "julian", "sofia", "nico", "elena", "tim", "chloe", "hugo", "camille", "louis", "ines",
    "antoine", "margaux", "baptiste", "giulia", "matteo", "chiara", "lorenzo", "francesca", "davide",
    "alessia", "pietro", "juerg", "urs", "beat", "reto", "vreni", "heidi", "regula", "ueli", "hansruedi",
    "annemarie", "kaspar", "flurina", "gian", "ladina", "curdin", "seraina", "maren", "henning", "frauke",
    "thorben", "svenja", "malte", "korbinian", "vroni", "xaver", "leopold", "resi", "wenzel", "zdenka",
    "yannick", "oceane", "thibault", "ginevra", "ottavio", "quirin", "zeno",
];

#[rustfmt::skip]
static SURNAMES: [&str; 80] = [
    "mueller", "meier", "schmid", "keller", "weber", "huber", "schneider", "meyer", "steiner", "fischer",
    "gerber", "brunner", "baumann", "frei", "zimmermann", "moser", "widmer", "wyss", "graf", "roth", "suter",
    "baumgartner", "bachmann", "kunz", "lehmann", "bieri", "favre", "rochat", "martin", "dubois", "laurent",
    "moreau", "lefevre", "girard", "bonnet", "blanc", "perret", "chappuis", "rossi", "bianchi", "ferrari",
    "colombo", "ricci", "galli", "fontana", "bernasconi", "caduff", "camenisch", "cavelti", "derungs",
    "zumthor", "zuercher", "amstutz", "aebischer", "bruederli", "buehler", "luethi", "oezdemir", "petrovic",
    "krasniqi", "nguyen", "silva", "pereira", "novak", "horvath", "kowalski", "jansen", "petersen",
    "hinterseer", "oberhofer", "pichler", "gruber", "unterweger", "schwarzenberger", "wolkenstein",
    "quellenhof", "xylander", "yersin", "zgraggen", "zwyssig",
];
